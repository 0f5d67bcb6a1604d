"""An emulated marketplace on loopback that speaks vast.ai's HTTP surface and rents real SSH servers.

What is emulated: offers, prices, bills, the life of an instance, its GPU's name. What is real: HTTP, SSH, keys, ports,
processes, files. An instance is no sandbox: its commands run as the user who started the marketplace, in a home and
an environment of their own.
"""
