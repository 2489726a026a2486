#include "common.inc"
camera { location <0,4.6,-5.6> look_at <0,0.35,0.15> angle 38 right x*4/3 }
Lights(1.1)
plane { y, 0 pigment { wood turbulence 0.06 color_map { [0 rgb <0.62,0.43,0.27>] [0.5 rgb <0.70,0.50,0.32>] [1 rgb <0.56,0.37,0.22>] } scale <0.35,0.35,6> rotate y*82 } finish { diffuse 0.8 specular 0.1 roughness 0.1 } normal { wood 0.08 scale <0.35,0.35,6> rotate y*82 } }
#macro Sheet(W,H) mesh2 { vertex_vectors { 4, <-W/2,0,-H/2>,<W/2,0,-H/2>,<W/2,0,H/2>,<-W/2,0,H/2> } uv_vectors { 4 <0,0>,<1,0>,<1,1>,<0,1> } face_indices { 2,<0,1,2>,<0,2,3> } uv_mapping } #end
#declare N=0; #while (N<5)
 object { Sheet(2.7,3.6) texture { uv_mapping pigment { image_map { png "aurora.png" interpolate 2 } } finish { diffuse 0.9 } } translate y*(0.012+0.012*N) rotate y*(9-N*3.2+mod(N*7,3)) translate <(N-2)*0.03,0,0> }
#declare N=N+1; #end
// a pencil and a roller's shadow
cylinder { <-2.6,0.09,-1.2>,<-1.75,0.09,1.5>,0.085 pigment { rgb <0.85,0.25,0.12> } finish { specular 0.4 roughness 0.03 } }
cone { <-1.75,0.09,1.5>,0.085,<-1.66,0.09,1.78>,0.015 pigment { rgb <0.9,0.75,0.55> } }
cylinder { <2.15,0.32,0.2>,<2.15,0.32,1.9>,0.32 pigment { rgb <0.12,0.17,0.4> } finish { specular 0.3 roughness 0.05 reflection 0.05 } rotate y*4 }
