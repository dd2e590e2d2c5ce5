"""What a policy is: sections, names, matching, documents, the set of all that is in force."""
