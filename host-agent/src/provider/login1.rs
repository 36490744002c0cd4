//! What logind says of a session, turned into the agent's words; the same for guests and for the host itself.
