"""The demo: composed pictures go in at one end of the chain, a page of similar pictures comes out at the other."""
