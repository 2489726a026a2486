#include "common.inc"
#include "shapes.inc"
camera { location <2.2,3.3,-6.2> look_at <0,0.55,0> angle 32 right x*4/3 }
Lights(1.15)
Sweep(<0.80,0.70,0.55>)
#macro Book(C)
 union {
  object { Round_Box(<-1.3,0,-0.9>,<1.3,0.06,0.9>,0.03,on) pigment { rgb C } normal { granite 0.12 scale 0.04 } finish { diffuse 0.8 specular 0.06 roughness 0.1 } }
  object { Round_Box(<-1.3,0.36,-0.9>,<1.3,0.42,0.9>,0.03,on) pigment { rgb C } normal { granite 0.12 scale 0.04 } finish { diffuse 0.8 specular 0.06 roughness 0.1 } }
  box { <-1.26,0.05,-0.84>,<1.24,0.37,0.85> pigment { gradient y color_map { [0 rgb <0.93,0.90,0.82>] [0.5 rgb <0.80,0.77,0.70>] [1 rgb <0.93,0.90,0.82>] } scale 0.028 } finish { diffuse 0.85 } }
  cylinder { <-1.28,0.21,-0.9>,<-1.28,0.21,0.9>,0.21 pigment { rgb C*0.55 } normal { granite 0.15 scale 0.03 } finish { diffuse 0.8 } }
  box { <0.95,-0.005,-0.91>,<1.02,0.428,0.91> pigment { rgb C*0.35 } finish { diffuse 0.8 } }
 }
#end
object { Book(<0.10,0.26,0.24>) rotate y*12 }
object { Book(<0.70,0.30,0.14>) rotate y*-6 translate y*0.425 }
object { Book(<0.16,0.22,0.42>) rotate y*20 translate y*0.85 }
cylinder { <-0.9,1.34,-0.5>,<0.75,1.34,0.2>,0.06 pigment { rgb <0.92,0.74,0.2> } finish { specular 0.3 roughness 0.05 } rotate y*10 }
cone { <0.75,1.34,0.2>,0.06,<0.93,1.34,0.277>,0.01 pigment { rgb <0.88,0.72,0.5> } rotate y*10 }
