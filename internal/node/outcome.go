package node

// Outcome is the result of one proof.
type Outcome uint8

// The outcomes. Their numbers travel in replies between processes of
// different versions: add at the end, never renumber.
const (
	// Undecided is the zero value: the node reached no verdict and the farmer
	// must send the proof again. It is not an error of the proof.
	Undecided Outcome = iota
	OK
	// OKAgain is an accepted proof sent again. It changes nothing.
	OKAgain
	Invalid
	// InvalidAgain is a wrong proof sent again. It changes nothing.
	InvalidAgain
	AlreadyAnswered
	ContractExpired
	ContractNotFound
	TooManyWrong

	outcomes // the number of outcomes
)

// Valid reports whether o is one of the outcomes above.
func (o Outcome) Valid() bool { return o < outcomes }

// Accepted reports whether the response to the farmer is "ok".
func (o Outcome) Accepted() bool { return o == OK || o == OKAgain }

// texts are the name in metrics and logs, and the text of the response.
var texts = [outcomes]struct{ name, message string }{
	Undecided:        {"undecided", "undecided"},
	OK:               {"ok", "ok"},
	OKAgain:          {"ok_again", "ok"},
	Invalid:          {"invalid", "proof invalid"},
	InvalidAgain:     {"invalid_again", "proof invalid"},
	AlreadyAnswered:  {"already_answered", "Challenge already answered"},
	ContractExpired:  {"expired", "contract expired"},
	ContractNotFound: {"not_found", "contract not found"},
	TooManyWrong:     {"too_many_wrong", "too many wrong answers"},
}

// Message returns the text of the response.
func (o Outcome) Message() string {
	if !o.Valid() {
		return texts[Undecided].message
	}
	return texts[o].message
}

// String returns the outcome's name in metrics and logs.
func (o Outcome) String() string {
	if !o.Valid() {
		return "unknown"
	}
	return texts[o].name
}
