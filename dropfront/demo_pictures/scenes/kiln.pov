#include "common.inc"
camera { location <0,2.4,-11> look_at <0,1.9,0> angle 40 right x*16/6 }
Lights(1.1)
plane { z, 1.6 pigment { rgb <0.62,0.50,0.40> } finish { diffuse 0.8 } normal { bumps 0.15 scale 0.3 } }
#macro Glaze(A,B) texture { pigment { bozo turbulence 0.5 color_map { [0 rgb A] [1 rgb B] } scale 0.3 } finish { diffuse 0.75 specular 0.4 roughness 0.02 reflection { 0.02,0.12 fresnel on } conserve_energy } } #end
#declare Jar = lathe { cubic_spline 15, <0,0.0>,<0,0.03>,<0.72,0.03>,<0.74,0.12>,<1.35,0.62>,<1.72,1.55>,<1.55,2.32>,<0.95,2.86>,<0.80,2.93>,<0.80,3.12>,<0.88,3.16>,<0.76,3.18>,<0.68,3.0>,<0.66,2.86>,<0,2.6> }
#declare Bowl = lathe { cubic_spline 14, <0,0.02>,<0.0,0.06>,<0.62,0.06>,<0.66,0.0>,<0.78,0.0>,<0.80,0.16>,<1.25,0.42>,<1.72,1.0>,<1.92,1.55>,<1.86,1.60>,<1.80,1.55>,<1.55,0.98>,<0.9,0.36>,<0,0.22> }
#declare S=seed(5);
#declare Y=0; #while (Y<3)
 box { <-12,Y*2-0.12,-0.6>,<12,Y*2,1.6> pigment { wood color_map { [0 rgb <0.50,0.34,0.22>] [1 rgb <0.42,0.28,0.17>] } scale <3,0.1,0.1> turbulence 0.1 } finish { diffuse 0.8 } }
 #declare X=-8; #while (X<8.5)
  #declare K=rand(S);
  object { #if (K>0.5) Jar #else Bowl #end scale (0.36+0.14*rand(S)) interior { ior 1.5 }
   #if (rand(S)>0.6) Glaze(<0.9,0.89,0.84>,<0.84,0.8,0.72>) #else #if (rand(S)>0.5) Glaze(<0.45,0.55,0.52>,<0.7,0.74,0.66>) #else Glaze(<0.25,0.2,0.22>,<0.42,0.3,0.24>) #end #end
   translate <X+0.25*rand(S),Y*2,0.3*rand(S)> }
 #declare X=X+1.35; #end
#declare Y=Y+1; #end
