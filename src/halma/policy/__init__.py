# SPDX-License-Identifier: Apache-2.0
"""Who may do what: profiles of nodes, patterns, and what a peer is allowed.

Always holds: an answer comes at once, from memory; a policy does not change, a reload makes another.
"""
