"""The parametric hand: the open hand (default), or a user's own licensed MANO file converted to the same
layout."""
