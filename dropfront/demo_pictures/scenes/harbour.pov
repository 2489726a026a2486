#include "common.inc"
camera { location <0.2,3.9,-5.0> look_at <0,0.3,0.2> angle 40 right x*4/3 }
Lights(1.1)
plane { y, 0 pigment { rgb <0.13,0.24,0.26> } finish { diffuse 0.8 } normal { bumps 0.1 scale 0.03 } }
#macro Curl(W,H,N)
 mesh2 {
  vertex_vectors { (N+1)*2 #local I=0; #while (I<=N) #local U=I/N; #local E=max(0,U-0.80)/0.2; #local Y=0.55*E*E; #local X=-W/2+W*U-0.25*E*E; ,<X,Y,-H/2>,<X,Y,H/2> #local I=I+1; #end }
  uv_vectors { (N+1)*2 #local I=0; #while (I<=N) ,<I/N,0>,<I/N,1> #local I=I+1; #end }
  face_indices { N*2 #local I=0; #while (I<N) ,<2*I,2*I+2,2*I+1>,<2*I+1,2*I+2,2*I+3> #local I=I+1; #end }
  uv_mapping
 }
#end
object { Curl(4.4,3.2,40) texture { uv_mapping pigment { image_map { png "harbour.png" interpolate 2 } } finish { diffuse 0.9 } } translate y*0.02 rotate y*-8 }
// a brass divider: two legs
cone { <-1.2,0.06,-1.3>,0.03,<-0.6,0.14,0.4>,0.06 pigment { rgb <0.75,0.55,0.2> } finish { specular 0.7 roughness 0.02 reflection 0.2 metallic } }
cone { <-0.75,0.06,-1.4>,0.03,<-0.6,0.14,0.4>,0.06 pigment { rgb <0.75,0.55,0.2> } finish { specular 0.7 roughness 0.02 reflection 0.2 metallic } }
sphere { <-0.6,0.16,0.44>,0.12 pigment { rgb <0.75,0.55,0.2> } finish { specular 0.7 roughness 0.02 reflection 0.2 metallic } }
