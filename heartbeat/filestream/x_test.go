package filestream_test
import ("testing";"math/rand/v2";"crypto/aes";"crypto/cipher";"github.com/driveshare/downstream-node/heartbeat/filestream")
func BenchmarkX(b *testing.B){
 p:=make([]byte,1280)
 const size=32<<20
 f:=filestream.New(seed,size)
 b.Run("random", func(b *testing.B){ b.SetBytes(1280); b.ReportAllocs(); for b.Loop(){ f.ReadAt(p, rand.Int64N(size-1280))}})
 bl,_:=aes.NewCipher(make([]byte,32))
 s:=cipher.NewCTR(bl,make([]byte,16))
 b.Run("ctr1280", func(b *testing.B){ b.SetBytes(1280); for b.Loop(){ s.XORKeyStream(p,p)}})
 q:=make([]byte,64<<10)
 b.Run("ctr64k", func(b *testing.B){ b.SetBytes(64<<10); for b.Loop(){ s.XORKeyStream(q,q)}})
 b.Run("seq64k", func(b *testing.B){ b.SetBytes(64<<10); for b.Loop(){ f.ReadAt(q,0)}})
}
