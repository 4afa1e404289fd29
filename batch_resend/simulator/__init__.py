"""A simulated Cognito to try things against: one set of rules, two interfaces.

`rules.Cognito` is the brain: the rules of ResendConfirmationCode and of the calls around
it, synchronous, with the time handed in, so that a test can work out each answer by hand.
`sender` wears it in process, for tests in virtual time by the thousand and for
`--simulate`; `server` wears it over HTTP, bytes and broken connections and all, for the
real client. Both give the same answers to the same users.

The promise: `Cognito.deliveries` counts every code that went out, also where the answer
was lost on its way, and nothing else. It is the judge of who was sent how many; it knows
nothing of what a client believes.

What AWS documents is done as documented, what it does not (how a quota is enforced, when
an hour ends) can be set, or is said where it is decided.
"""
