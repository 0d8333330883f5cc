//! The sans-IO server: puts the layers together and owns every peer and session.
