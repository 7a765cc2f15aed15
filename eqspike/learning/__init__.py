"""How anything is trained: what a learner is, the loop, optimisers, schedules, health."""
