"""A stand-in for OpenAI, Anthropic and Gemini over real HTTP, with limits, faults and a bill.

    with Simulator(SimulatorConfig(latency_s=0.05)) as simulator:
        client = openai.OpenAI(base_url=simulator.openai_url, api_key="any")
        simulator.add_fault("rate", count=2)

Open in this order: `config`, `faults` (what can be asked for), `engine` (what happens to a
request), `dialects` (the three wire formats), `windows` and `limits`, `bill`, `wire` and
`connection` (HTTP), `control` (the paths under /_simulator), `server`.
"""

from promptmill.simulator.bill import Row, Summary, Totals
from promptmill.simulator.config import Limits, Shape, SimulatorConfig
from promptmill.simulator.faults import Accident, Fault, Trouble
from promptmill.simulator.provider import Provider
from promptmill.simulator.server import Simulator

__all__ = [
    "Accident",
    "Fault",
    "Limits",
    "Provider",
    "Row",
    "Shape",
    "Simulator",
    "SimulatorConfig",
    "Summary",
    "Totals",
    "Trouble",
]
