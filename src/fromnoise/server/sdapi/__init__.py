"""AUTOMATIC1111's HTTP interface, `/sdapi/v1`: its bodies, what they mean as recipes, its routes."""
