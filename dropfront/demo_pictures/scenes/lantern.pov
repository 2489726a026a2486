#include "common.inc"
camera { location <1.2,3.0,-8.5> look_at <0,1.6,0> angle 41 right x*4/3 }
Lights(0.38)
Sweep(<0.20,0.19,0.24>)
#declare Clay = texture { pigment { bozo color_map { [0 rgb <0.42,0.30,0.24>] [1 rgb <0.30,0.20,0.17>] } scale 0.4 } normal { granite 0.2 scale 0.15 } finish { diffuse 0.8 specular 0.15 roughness 0.06 } }
#declare Body = difference {
  lathe { cubic_spline 12, <0,0>,<0.0,0.0>,<1.15,0.0>,<1.22,0.1>,<1.32,1.0>,<1.25,2.2>,<0.95,2.7>,<0.85,2.7>,<1.1,2.15>,<1.18,1.0>,<1.08,0.16>,<0,0.14> }
  #declare R=0; #while (R<6)
    #declare A=0; #while (A<14)
      cylinder { <0,0,-0.3>,<0,0,-2>, 0.13-0.012*abs(R-2.5) translate y*(0.5+R*0.32) rotate y*(A*360/14+mod(R,2)*360/28) }
    #declare A=A+1; #end
  #declare R=R+1; #end
}
object { Body texture { Clay } }
// lid and ring
difference { sphere { <0,2.55,0>, 0.98 scale <1,0.62,1> translate y*1.13 } box { <-2,0,-2>,<2,2.62,2> } texture { Clay } }
torus { 0.34, 0.055 rotate x*90 translate <0,3.62,0> texture { pigment { rgb <0.25,0.2,0.15> } finish { specular 0.6 roughness 0.02 reflection 0.15 } } }
// the flame
light_source { <0,1.0,0> rgb <1,0.62,0.26>*3.2 fade_distance 2.2 fade_power 2  looks_like { sphere { 0, 0.16 scale <0.7,1.7,0.7> pigment { rgb <1,0.8,0.45> } finish { emission 3 } } } }
cylinder { <0,0.14,0>,<0,0.75,0>,0.28 pigment { rgb <0.95,0.9,0.8> } finish { diffuse 0.8 emission <0.25,0.13,0.04> } }
