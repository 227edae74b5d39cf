package strictjson

import "unicode/utf8"

// appendEscaped does what AppendBase64 does, for a string with escapes.
func (v Value) appendEscaped(dst []byte, most int) ([]byte, error) {
	var memory [256]byte
	all, err := standard.AppendDecode(dst, appendUnescaped(memory[:0], v[1:len(v)-1]))
	if err != nil {
		return dst, errNotBase64
	}
	if len(all)-len(dst) > most {
		return dst, errTooLong
	}
	return all, nil
}

// appendUnescaped appends the content of a string, whose escapes must be sound.
// It is right for what is then held to be ASCII: a pair of surrogates is not
// put together.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			dst = append(dst, text[i])
			continue
		}
		i++
		switch text[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			for range 4 {
				i++
				r = r<<4 | hexDigit(text[i])
			}
			dst = utf8.AppendRune(dst, r)
		default: // a quote, a slash or a backslash
			dst = append(dst, text[i])
		}
	}
	return dst
}

func hexDigit(b byte) rune {
	if b <= '9' {
		return rune(b - '0')
	}
	return rune(b|0x20-'a') + 10
}
