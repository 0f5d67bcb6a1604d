"""The emulated market: machines with plausible hardware, hosts and prices; always the same, and not real."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A kind of card: memory in MB, compute capability times ten (as vast.ai counts), bandwidth and speed."""

    name: str
    ram_mb: int
    compute_cap: int
    memory_gb_per_s: float
    tflops: float
    dlperf: float
    max_power_w: int


@dataclass(frozen=True, slots=True)
class Host:
    """Who owns machines, and how they hang on the net."""

    id: int
    country: str
    down_mbps: float
    up_mbps: float
    usd_per_gb: float
    storage_usd_per_gb_month: float
    reliability: float
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, offered as a whole."""

    offer_id: int
    machine_id: int
    host: Host
    gpu: Gpu
    gpu_count: int
    usd_per_hour: float
    cpu: str
    cores: float
    ram_gb: int
    disk_gb: int
    disk: str
    rentable: bool = True
    ports: int = 100
    cuda: float = 12.8
    driver: str = "570.133.20"
    days: float = 45.0


RTX_3090 = Gpu("RTX 3090", 24576, 860, 936, 35.6, 41.0, 350)
RTX_4090 = Gpu("RTX 4090", 24564, 890, 1008, 82.6, 92.0, 450)
RTX_5090 = Gpu("RTX 5090", 32607, 1200, 1790, 104.8, 128.0, 575)
RTX_A6000 = Gpu("RTX A6000", 49140, 860, 768, 38.7, 47.0, 300)
L40S = Gpu("L40S", 46068, 890, 864, 91.6, 88.0, 350)
A100_PCIE = Gpu("A100 PCIE", 40960, 800, 1555, 19.5, 78.0, 250)
A100_SXM4 = Gpu("A100 SXM4", 81920, 800, 2039, 19.5, 92.0, 400)
H100_SXM = Gpu("H100 SXM", 81559, 900, 3350, 66.9, 187.0, 700)

POLAND = Host(4102, "Poland, PL", 812, 702, 0.0020, 0.10, 0.9931)
CZECHIA = Host(5208, "Czechia, CZ", 640, 533, 0.0030, 0.12, 0.9972)
UKRAINE = Host(6011, "Ukraine, UA", 310, 96, 0.0100, 0.15, 0.9720)
SWEDEN = Host(7310, "Sweden, SE", 1894, 1612, 0.0026, 0.10, 0.9991)
GERMANY = Host(7444, "Germany, DE", 921, 880, 0.0040, 0.11, 0.9983)
VIETNAM = Host(8120, "Vietnam, VN", 402, 388, 0.0150, 0.18, 0.9514, verified=False)
NORWAY = Host(9005, "Norway, NO", 2710, 2450, 0.0022, 0.10, 0.9989)
FINLAND = Host(9417, "Finland, FI", 704, 655, 0.0050, 0.13, 0.9940)
NETHERLANDS = Host(6633, "Netherlands, NL", 1120, 1044, 0.0030, 0.10, 0.9980)
FRANCE = Host(9120, "France, FR", 3010, 2900, 0.0018, 0.09, 0.9992)
BULGARIA = Host(3377, "Bulgaria, BG", 1490, 1320, 0.0025, 0.10, 0.9955)
ICELAND = Host(9533, "Iceland, IS", 4210, 4102, 0.0015, 0.09, 0.9993)
CANADA = Host(9804, "Canada, CA", 5120, 5004, 0.0014, 0.09, 0.9994)

EPYC, XEON, RYZEN = "AMD EPYC 7763 64-Core", "Intel Xeon Gold 6330", "AMD Ryzen 9 7950X 16-Core"
FAST, PLAIN = "Samsung 990 PRO NVMe", "KIOXIA CD6 NVMe"

MACHINES: tuple[Machine, ...] = (
    Machine(31100204, 18201, POLAND, RTX_3090, 1, 0.128, EPYC, 16, 64, 412, PLAIN),
    Machine(31100318, 18377, CZECHIA, RTX_3090, 1, 0.141, XEON, 12, 48, 350, PLAIN),
    Machine(31100451, 18402, UKRAINE, RTX_3090, 1, 0.119, RYZEN, 8, 32, 220, FAST),
    Machine(31100577, 18455, CZECHIA, RTX_3090, 2, 0.262, XEON, 24, 96, 700, PLAIN),
    Machine(31101209, 20114, SWEDEN, RTX_4090, 1, 0.287, EPYC, 16, 64, 600, FAST),
    Machine(31101333, 20150, GERMANY, RTX_4090, 1, 0.312, RYZEN, 16, 64, 480, FAST),
    Machine(31101402, 20177, POLAND, RTX_4090, 1, 0.268, EPYC, 12, 48, 310, PLAIN),
    Machine(31101518, 20193, VIETNAM, RTX_4090, 1, 0.243, XEON, 8, 32, 260, PLAIN),
    Machine(31101604, 20208, SWEDEN, RTX_4090, 1, 0.251, EPYC, 16, 64, 600, FAST, rentable=False),
    Machine(31101711, 20230, NORWAY, RTX_4090, 2, 0.598, EPYC, 32, 128, 900, FAST),
    Machine(31101820, 20249, NORWAY, RTX_4090, 4, 1.181, EPYC, 64, 256, 1800, FAST),
    Machine(31102105, 21310, GERMANY, RTX_5090, 1, 0.389, RYZEN, 16, 96, 800, FAST),
    Machine(31102214, 21342, FINLAND, RTX_5090, 1, 0.371, RYZEN, 12, 64, 500, FAST),
    Machine(31102410, 21506, NETHERLANDS, RTX_A6000, 1, 0.362, EPYC, 16, 96, 740, PLAIN),
    Machine(31102816, 22017, NETHERLANDS, L40S, 1, 0.379, EPYC, 16, 96, 900, PLAIN),
    Machine(31102922, 22044, FRANCE, L40S, 1, 0.467, EPYC, 24, 128, 1200, FAST),
    Machine(31103007, 22071, FRANCE, L40S, 1, 0.412, EPYC, 24, 128, 1200, FAST, rentable=False),
    Machine(31103115, 22090, FRANCE, L40S, 2, 0.921, EPYC, 48, 256, 2400, FAST),
    Machine(31103501, 23008, BULGARIA, A100_PCIE, 1, 0.352, EPYC, 16, 96, 800, PLAIN),
    Machine(31103612, 23055, ICELAND, A100_SXM4, 1, 0.668, EPYC, 16, 128, 1100, FAST),
    Machine(31103718, 23071, ICELAND, A100_SXM4, 1, 0.641, EPYC, 16, 128, 1100, FAST, rentable=False),
    Machine(31103825, 23102, ICELAND, A100_SXM4, 8, 5.912, EPYC, 128, 1024, 8800, FAST),
    Machine(31104209, 24011, CANADA, H100_SXM, 1, 1.893, XEON, 26, 192, 1500, FAST),
    Machine(31104316, 24030, CANADA, H100_SXM, 8, 15.42, XEON, 208, 1536, 12000, FAST, cuda=13.0),
)

BY_OFFER = {machine.offer_id: machine for machine in MACHINES}
