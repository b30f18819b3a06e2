"""The live feed past one machine: one exporter publishes over NATS, any number of gateways serve what they hear."""
