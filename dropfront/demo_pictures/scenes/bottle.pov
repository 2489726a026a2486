#include "common.inc"
camera { location <0.3,2.5,-9.2> look_at <0,2.0,0> angle 37 right x*4/3 }
Lights(0.85)
Sweep(<0.34,0.25,0.21>)
#declare Shape = lathe { cubic_spline 16,
  <0,0>,<0,0.02>,<0.80,0.02>,<0.84,0.10>,<1.05,0.7>,<1.16,1.5>,<1.02,2.25>,<0.62,2.78>,<0.34,3.1>,<0.28,3.5>,<0.32,3.78>,<0.44,3.86>,<0.42,3.91>,<0.30,3.84>,<0.22,3.5>,<0,3.3> }
#declare Body = pigment { bozo turbulence 0.5 color_map { [0 rgb <0.10,0.07,0.06>] [0.5 rgb <0.19,0.11,0.08>] [1 rgb <0.30,0.15,0.09>] } scale <0.5,0.8,0.5> }
#declare Ash = pigment { bozo turbulence 0.6 color_map { [0 rgb <0.86,0.60,0.22>] [0.5 rgb <0.78,0.46,0.14>] [1 rgb <0.62,0.58,0.36>] } scale 0.35 }
// The ash lies on the shoulder and runs down in tongues.
#declare Tongues = function { pigment { bozo turbulence 0.35 scale <0.30,2.4,0.30> translate <3,0.4,1> color_map { [0 rgb 0] [1 rgb 1] } } }
#declare Ran = function(x,y,z) { min(1,max(0,(y-2.75+1.9*Tongues(x,y,z).gray+0.25*x)*4)) }
#declare Fired = texture { function { Ran(x,y,z) } texture_map {
  [0 pigment { Body } normal { granite 0.18 scale 0.25 } finish { diffuse 0.8 specular 0.18 roughness 0.05 }]
  [0.45 pigment { Ash } normal { bumps 0.18 scale 0.18 } finish { diffuse 0.8 specular 0.7 roughness 0.008 reflection { 0.02,0.18 fresnel on } conserve_energy }]
  [1 pigment { Ash } normal { bumps 0.10 scale 0.22 } finish { diffuse 0.8 specular 0.8 roughness 0.006 reflection { 0.02,0.2 fresnel on } conserve_energy }] } }
object { Shape texture { Fired } interior { ior 1.5 } rotate y*20 }
object { Shape texture { Fired } interior { ior 1.5 } rotate y*150 scale <0.62,0.5,0.62> translate <2.5,0,1.9> }
