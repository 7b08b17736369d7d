// Package send holds what the attempt loop of upstream and its senders share: the Try that the loop
// hands to a sender, the Failure that the sender hands back, the Slot that the try occupies, and
// the delivery of interim responses. It decides nothing.
package send
