package edge

import (
	"net/http"
	"strconv"
)

// Stage is one step of a route between the router and the cache: a limit, a check, a redirect. A
// stage says how it treats hits that a connection answers below net/http. A stage that says nothing
// is never bypassed.
type Stage struct {
	Name string
	Wrap func(http.Handler) http.Handler
	// OnHit says whether a connection may answer a hit without the stage. Its zero value is Never.
	OnHit HitRule
	// Explain says what the stage would do with a request, and changes at if the stage would pass
	// another request on. It has no side effect. A stage without Explain is reported as not
	// explained.
	Explain func(at *Located, e *Explanation)
	// Hides is a query parameter that carries a credential; "" if no parameter does. Logs, spans and
	// explanations do not show its value.
	Hides string
}

// HitRule says whether a connection may answer a hit without a stage.
type HitRule struct {
	kind   hitKind
	check  func(*Located) bool
	charge bool // the check charges the client for the request
}

type hitKind uint8

const (
	never hitKind = iota
	afterHandler
	always
)

// Never is the rule of a stage that every request passes. It is the zero value.
func Never() HitRule { return HitRule{} }

// AfterHandler is the rule of a stage that does the same with each repetition of a request. A
// connection may answer a request once the route's handler has answered the same one with a hit,
// byte for byte. Until then the stage may refuse the request, or give it another query.
func AfterHandler() HitRule { return HitRule{kind: afterHandler} }

// Indifferent is the rule of a stage that does nothing with a GET or HEAD without content, and
// nothing with its response.
func Indifferent() HitRule { return HitRule{kind: always} }

// Check is the rule of a stage that may is asked for: it reports whether a connection may answer
// this hit. It is asked last, when the response has been found; if it says no, the handler gets the
// request. It must be fast, may be called concurrently, and must not keep the Located.
func Check(may func(*Located) bool) HitRule { return HitRule{kind: always, check: may} }

// Charge is Check for a function that charges the client for the hit if it says yes. It is asked
// after the checks of all other stages, when the response is certain. If a route has two such
// stages, no connection answers its hits, since the second one could refuse a hit that the first
// one has charged. A stage with a Charge must not charge a request again whose Event is Charged.
func Charge(may func(*Located) bool) HitRule { return HitRule{kind: always, check: may, charge: true} }

// Hits says which hits of a route a connection may answer, by the rules of all its stages.
type Hits struct {
	Repeated bool                // hits on requests that repeat one that the route's handler has answered
	First    bool                // all other hits too
	Check    func(*Located) bool // must agree to each hit; nil if no stage has a check
}

// HitsOf combines the rules of stages: each stage can only forbid. A check that charges comes last.
func HitsOf(stages []Stage) Hits {
	kind, checks, charges := always, []func(*Located) bool(nil), []func(*Located) bool(nil)
	for _, s := range stages {
		kind = min(kind, s.OnHit.kind)
		switch {
		case s.OnHit.check == nil:
		case s.OnHit.charge:
			charges = append(charges, s.OnHit.check)
		default:
			checks = append(checks, s.OnHit.check)
		}
	}
	if len(charges) > 1 {
		kind = never
	}
	return Hits{Repeated: kind >= afterHandler, First: kind == always, Check: all(append(checks, charges...))}
}

func all(checks []func(*Located) bool) func(*Located) bool {
	switch len(checks) {
	case 0:
		return nil
	case 1:
		return checks[0]
	}
	return func(at *Located) bool {
		for _, may := range checks {
			if !may(at) {
				return false
			}
		}
		return true
	}
}

// Chain returns the handler that has a request pass the stages, in order, on its way to last.
func Chain(stages []Stage, last http.Handler) http.Handler {
	for i := len(stages) - 1; i >= 0; i-- {
		last = stages[i].Wrap(last)
	}
	return last
}

// Explanation says what the stages of a route would do with a request.
type Explanation struct {
	Refused     *Refusal // the response of the first stage that does not let the request pass; nil if all do
	Unexplained []string // the names of stages that can't be explained; their effect is not known
	Notes       []string // facts that operators should know about stages that let the request pass
	// CORS says which fields of the CORS protocol the response has; nil if the route has no rules.
	CORS *CORSAnswer
}

// Refusal is a response by which a stage does not let a request pass.
type Refusal struct {
	Status   int
	Detail   string // its content
	Location string
	Stage    string // the name of the stage that refuses the request
	Why      string // what operators should know beyond Detail; "" if Detail says all
}

// Refuse notes that the stage would answer with an error, as WriteError writes it to a client that
// takes text.
func (e *Explanation) Refuse(status int, detail string) {
	e.Refused = &Refusal{Status: status, Detail: errorText(status, detail)}
}

// errorText is the content of an error response, as text.
func errorText(status int, detail string) string {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	if detail != "" {
		text += ": " + detail
	}
	return text
}

// Explain asks the stages in order, up to the first that would refuse the request. It runs no
// stage. It changes at as the stages would change the request.
func Explain(stages []Stage, at *Located) *Explanation {
	e := new(Explanation)
	for i := range stages {
		switch s := &stages[i]; {
		case s.Explain == nil:
			e.Unexplained = append(e.Unexplained, s.Name)
		default:
			s.Explain(at, e)
		}
		if e.Refused != nil {
			e.Refused.Stage = stages[i].Name
			break
		}
	}
	return e
}
