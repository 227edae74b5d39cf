package strictjson

// maxDepth is how deeply objects and arrays can be nested, which is what
// encoding/json allows.
const maxDepth = 10000

// kinds says of each object or array that is open, by its depth, which it is.
type kinds [maxDepth/64 + 1]uint64

func (k *kinds) set(depth uint, bracket byte) {
	bit := uint64(1) << (depth % 64)
	if bracket == '{' {
		k[depth/64] |= bit
	} else {
		k[depth/64] &^= bit
	}
}

// closing gives the bracket that ends it.
func (k *kinds) closing(depth uint) byte {
	if k[depth/64]>>(depth%64)&1 != 0 {
		return '}'
	}
	return ']'
}

// skip reads one value of any kind.
func (c *Cursor) skip() {
	if sign := c.peek(); sign == '{' || sign == '[' {
		c.skipNest()
		return
	}
	c.skipScalar()
}

// skipNest reads an object or an array and all that is in it.
func (c *Cursor) skipNest() {
	outside := c.depth
	for {
		more := false // whether another value follows
		if sign := c.peek(); sign != '{' && sign != '[' {
			c.skipScalar()
		} else if c.open(sign) {
			more = c.first()
		} else {
			c.fail() // nested too deeply
		}
		for !more && c.depth > outside && c.broken == nil {
			more = c.next()
		}
		if !more {
			return
		}
		if c.closing == '}' {
			c.name(nil)
		}
	}
}

func (c *Cursor) skipScalar() {
	ok := false
	switch c.peek() {
	case '"':
		ok = c.skipString()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		ok = c.skipNumber()
	case 't':
		ok = c.skipWord("true")
	case 'f':
		ok = c.skipWord("false")
	case 'n':
		ok = c.skipWord("null")
	}
	if !ok {
		c.fail()
	}
	c.pass(c.at)
}

func (c *Cursor) skipWord(word string) bool {
	end := min(c.at+len(word), len(c.in))
	ok := string(c.in[c.at:end]) == word
	c.at = end
	return ok
}

func (c *Cursor) skipString() bool {
	for c.at++; c.at < len(c.in); c.at++ {
		switch b := c.in[c.at]; {
		case b == '"':
			c.at++
			return true
		case b < ' ':
			return false
		case b == '\\':
			c.at++
			if !c.skipEscape() {
				return false
			}
		}
	}
	return false
}

// skipEscape reads what follows a backslash, but for its last byte.
func (c *Cursor) skipEscape() bool {
	switch c.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			c.at++
			switch b := c.peek(); {
			case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F':
			default:
				return false
			}
		}
		return true
	}
	return false
}

// skipNumber reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (c *Cursor) skipNumber() bool {
	if c.peek() == '-' {
		c.at++
	}
	if c.peek() == '0' {
		c.at++
	} else if !c.skipDigits() {
		return false
	}
	if c.peek() == '.' {
		c.at++
		if !c.skipDigits() {
			return false
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.at++
		if b := c.peek(); b == '+' || b == '-' {
			c.at++
		}
		return c.skipDigits()
	}
	return true
}

// skipDigits reads at least one digit.
func (c *Cursor) skipDigits() bool {
	start := c.at
	for b := c.peek(); '0' <= b && b <= '9'; b = c.peek() {
		c.at++
	}
	return c.at > start
}
