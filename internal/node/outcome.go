package node

// Outcome is the result of one proof.
type Outcome uint8

// The outcomes. Replies carry these numbers between processes of different
// versions: add new outcomes at the end, and never renumber.
const (
	// Undecided is the zero value: the node reached no verdict, and the farmer must
	// send the proof again. The proof is not at fault.
	Undecided Outcome = iota
	OK
	// OKAgain is the outcome of an accepted proof that is sent again. It changes
	// nothing.
	OKAgain
	Invalid
	// InvalidAgain is the outcome of a wrong proof that is sent again. It changes
	// nothing.
	InvalidAgain
	AlreadyAnswered
	ContractExpired
	ContractNotFound
	TooManyWrong
	// Malformed is the outcome of an item of a batch that is not a file hash with a
	// proof. Only the API reaches it.
	Malformed

	outcomes // the number of outcomes
)

// Valid reports whether o is one of the outcomes above.
func (o Outcome) Valid() bool { return o < outcomes }

// Accepted reports whether the response to the farmer is "ok".
func (o Outcome) Accepted() bool { return o == OK || o == OKAgain }

// texts holds the name for metrics and logs, and the text for the response.
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
	Malformed:        {"malformed", "malformed item: file_hash must be a string, and proof must be present"},
}

// Message returns the text for the response.
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
