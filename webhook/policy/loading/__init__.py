"""From files and custom resources to a policy set: reading, problems with their cure, reloading."""
