//! The simulated network that joins a client and a server in memory.
