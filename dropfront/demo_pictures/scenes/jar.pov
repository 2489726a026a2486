#include "common.inc"
camera { location <0.4,2.1,-8.2> look_at <0,1.55,0> angle 44 right x*4/3 }
Lights(1.1)
Sweep(<0.30,0.36,0.42>)
#declare White = texture { pigment { bozo color_map { [0 rgb <0.93,0.92,0.88>] [0.7 rgb <0.90,0.89,0.84>] [1 rgb <0.83,0.80,0.72>] } scale <1.2,0.8,1.2> turbulence 0.4 } normal { bumps 0.06 scale 0.5 } finish { diffuse 0.8 specular 0.55 roughness 0.008 reflection { 0.03,0.2 fresnel on } conserve_energy } }
#declare Jar = lathe { cubic_spline 15,
  <0,0.0>,<0,0.03>,<0.72,0.03>,<0.74,0.12>,<1.35,0.62>,<1.72,1.55>,<1.55,2.32>,<0.95,2.86>,<0.80,2.93>,<0.80,3.12>,<0.88,3.16>,<0.76,3.18>,<0.68,3.0>,<0.66,2.86>,<0,2.6> }
object { Jar texture { White } interior { ior 1.5 } scale <1,1,1> rotate y*30 }
object { Jar texture { White } interior { ior 1.5 } scale 0.55 translate <2.7,0,1.8> }
object { Jar texture { White } interior { ior 1.5 } scale 0.42 translate <-2.7,0,1.2> rotate y*6 }
