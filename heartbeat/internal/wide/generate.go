package wide

//go:generate go run -C ../../_asm ./wide -out ../internal/wide/ifma_amd64.s -stubs ../internal/wide/ifma_amd64.go -pkg wide
