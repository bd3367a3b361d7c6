//! Pure models of server-side rate limiters: given the times of requests, which would be admitted?
