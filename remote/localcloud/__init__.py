"""An emulated marketplace on loopback that speaks vast.ai's HTTP surface and rents real SSH servers.

What is emulated: offers, prices, bills, the life of an instance, its GPU's name, the marketplace's time, and whatever
can go wrong with all of that (`scenarios.py`). What is real: HTTP, SSH, keys, ports, processes, files. An instance is
no sandbox: its commands run as the user who started the marketplace, in a home and an environment of their own.

    server, api/          HTTP: who may call what, vast.ai's surface by subject, and `/_emu/` for tests and operators
    fleet, life, pull     what becomes of instances; boxes, box/ their processes; homes, image their disks
    timers, clock         virtual time: inside the daemon, and for its clients
    scenario(s), effects  faults as seeded rules; limits, line, link: refused calls and slow lines
    store, accounts       what is remembered and billed
    daemon, connect, controls   for clients: start it, rent from it, let things go wrong
"""
