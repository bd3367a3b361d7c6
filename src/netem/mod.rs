//! A seeded virtual network and server in virtual time, around a limiter.
