// Package writes shows that accepted writes are applied: gateways are killed and stopped at random while clients write and the upstream fails, and in
// the end the upstream holds, for every path, exactly what was acknowledged, in its order and once. Run it at full size with
//
//	go test ./test/writes -full -v
package writes
