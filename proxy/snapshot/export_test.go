package snapshot

import "github.com/penstock/penstock/proxy/edge"

// PutFirst puts a stage before those of the named route.
func (s *Server) PutFirst(route string, stage edge.Stage) {
	now := s.current.Load()
	rt := now.compiled(now.router.Named(route))
	rt.Arrange(append([]edge.Stage{stage}, rt.stages...), now.cache, now.memo)
}
