//! ESP security associations: replay windows, lifetimes, seal and open.
