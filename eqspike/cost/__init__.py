"""What a run costs: operations as counted, joules as somebody's tables estimate them. The two never mix."""
