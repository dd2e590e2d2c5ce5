"""The policy models as JSON Schema and as CustomResourceDefinitions."""
