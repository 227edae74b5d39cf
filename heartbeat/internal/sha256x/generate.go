package sha256x

//go:generate go run -C ../../_asm ./sha256x -out ../internal/sha256x/lanes_amd64.s -stubs ../internal/sha256x/lanes_amd64.go -pkg sha256x
