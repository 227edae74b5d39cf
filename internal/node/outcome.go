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

// Message returns the text of the response.
func (o Outcome) Message() string {
	switch o {
	case OK, OKAgain:
		return "ok"
	case Invalid, InvalidAgain:
		return "proof invalid"
	case AlreadyAnswered:
		return "Challenge already answered"
	case ContractExpired:
		return "contract expired"
	case ContractNotFound:
		return "contract not found"
	case TooManyWrong:
		return "too many wrong answers"
	default:
		return "undecided"
	}
}

// String returns the outcome's name in metrics and logs.
func (o Outcome) String() string {
	names := [...]string{
		"undecided", "ok", "ok_again", "invalid", "invalid_again",
		"already_answered", "expired", "not_found", "too_many_wrong",
	}
	if !o.Valid() {
		return "unknown"
	}
	return names[o]
}
