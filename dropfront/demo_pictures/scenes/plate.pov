#include "common.inc"
camera { location <-0.5,5.0,-5.4> look_at <0.1,0.1,0.05> angle 45 right x*4/3 }
Lights(0.95)
plane { y, 0 pigment { wood turbulence 0.06 color_map { [0 rgb <0.13,0.10,0.09>] [0.5 rgb <0.18,0.14,0.12>] [1 rgb <0.11,0.08,0.07>] } scale <0.35,0.35,6> rotate y*82 } finish { diffuse 0.8 specular 0.15 roughness 0.06 } }
#declare Copper = finish { diffuse 0.45 specular 0.5 roughness 0.02 metallic reflection { 0.12,0.35 metallic } }
union {
  box { <-2.2,0,-1.66>,<2.2,0.1,1.66> pigment { rgb <0.62,0.27,0.13> } finish { Copper } }
  mesh2 { vertex_vectors { 4, <-2.16,0.1015,-1.62>,<2.16,0.1015,-1.62>,<2.16,0.1015,1.62>,<-2.16,0.1015,1.62> } uv_vectors { 4 <0,0>,<1,0>,<1,1>,<0,1> } face_indices { 2,<0,1,2>,<0,2,3> } uv_mapping
    texture { uv_mapping finish { Copper }
      pigment { image_pattern { png "engraving.png" interpolate 2 } color_map { [0 rgb <0.07,0.03,0.03>] [1 rgb <0.70,0.31,0.16>] } }
      normal { bump_map { png "engraving.png" interpolate 2 bump_size 3 } } } }
  rotate y*7
}
// the burin
union {
  cylinder { <0,0,0>,<0,0,1.5>,0.045 pigment { rgb 0.5 } finish { specular 0.9 roughness 0.01 metallic reflection 0.3 } }
  cone { <0,0,0>,0.045,<0,0.02,-0.18>,0.004 pigment { rgb 0.6 } finish { specular 0.9 roughness 0.01 metallic reflection 0.3 } }
  lathe { cubic_spline 8, <0,0>,<0.07,0>,<0.09,0.1>,<0.11,0.35>,<0.20,0.62>,<0.24,0.85>,<0.12,1.0>,<0,1.02> rotate x*90 translate z*1.45 pigment { wood turbulence 0.1 color_map { [0 rgb <0.55,0.28,0.13>] [1 rgb <0.42,0.20,0.09>] } scale 0.12 rotate x*4 } finish { diffuse 0.8 specular 0.5 roughness 0.02 } }
  rotate x*-6 rotate y*62 translate <0.95,0.16,-1.0>
}
