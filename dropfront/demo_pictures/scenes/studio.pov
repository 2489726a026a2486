#include "common.inc"
camera { location <0,2.2,-10> look_at <0,1.9,0> angle 40 right x*16/6 }
Lights(1.05)
plane { z, 1.2 pigment { rgb <0.16,0.22,0.40> } finish { diffuse 0.8 } }
plane { y, -1 pigment { rgb <0.3,0.25,0.2> } }
#macro Sheet(W,H,F) mesh2 { vertex_vectors { 4, <-W/2,-H,0>,<W/2,-H,0.06>,<W/2,0,0>,<-W/2,0,0> } uv_vectors { 4 <0,0>,<1,0>,<1,1>,<0,1> } face_indices { 2,<0,1,2>,<0,2,3> } uv_mapping texture { uv_mapping pigment { image_map { png F interpolate 2 } } finish { diffuse 0.9 } } } #end
cylinder { <-20,3.75,0.6>,<20,3.75,0.6>,0.02 pigment { rgb 0.1 } }
#declare S=seed(2); #declare X=-8; #while (X<8.5)
 object { Sheet(1.7,2.27,"aurora.png") rotate z*(rand(S)-0.5)*3 rotate x*(rand(S)*8) translate <X,3.7,0.55> }
 object { Sheet(2.1,1.54,"harbour.png") rotate z*(rand(S)-0.5)*3 rotate x*(rand(S)*8) translate <X+2.05,3.7,0.55> }
 #declare B=0; #while (B<2) box { <-0.05,0,-0.04>,<0.05,0.2,0.04> translate <X-0.5+B,3.62,0.5> pigment { rgb <0.75,0.55,0.35> } } #declare B=B+1; #end
#declare X=X+4.1; #end
