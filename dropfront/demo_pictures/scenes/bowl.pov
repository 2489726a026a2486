#include "common.inc"
camera { location <0,3.4,-6.4> look_at <0,0.75,0.1> angle 34 right x*4/3 }
Lights(1.15)
Sweep(<0.72,0.62,0.50>)
#declare Ash = texture {
  pigment { bozo turbulence 0.6 color_map { [0 rgb <0.62,0.68,0.58>] [0.5 rgb <0.80,0.80,0.70>] [0.8 rgb <0.52,0.60,0.55>] [1 rgb <0.42,0.50,0.47>] } scale 0.35 }
  normal { bumps 0.12 scale 0.05 } finish { diffuse 0.75 specular 0.5 roughness 0.015 reflection { 0.02, 0.14 fresnel on } conserve_energy }
}
#declare Speck = texture { pigment { granite color_map { [0 rgbt <0.2,0.13,0.08,0.05>] [0.16 rgbt <0.3,0.2,0.1,1>] [1 rgbt 1] } scale 0.25 } }
#declare Clay = texture { pigment { rgb <0.48,0.30,0.20> } normal { granite 0.25 scale 0.1 } finish { diffuse 0.8 } }
#declare Bowl = lathe { cubic_spline 14,
  <0,0.02>,<0.0,0.06>,<0.62,0.06>,<0.66,0.0>,<0.78,0.0>,<0.80,0.16>,<1.25,0.42>,<1.72,1.0>,<1.92,1.55>,<1.86,1.60>,<1.80,1.55>,<1.55,0.98>,<0.9,0.36>,<0,0.22> }
object { Bowl texture { gradient y texture_map { [0.0 Clay] [0.15 Clay] [0.19 Ash] [1 Ash] } scale 1.7 } interior { ior 1.5 } }
object { Bowl texture { Speck } scale 1.0015 interior { ior 1.5 } }
// a second, smaller one behind
object { Bowl scale 0.62 translate <-2.6,0,1.9> texture { gradient y texture_map { [0.0 Clay] [0.15 Clay] [0.19 Ash] [1 Ash] } scale 1.1 rotate y*80 } interior { ior 1.5 } }
