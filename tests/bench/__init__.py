"""How planning and converting grow with the model: `make bench` measures, and writes the tables of docs/benchmarks.md.

`networks` makes networks of any number of operators, and a graph in the shape of Llama 70B without its weights; `rules`
makes recipes of any number of rules for them; `rivals` does one recipe's job with TVM's own means. `measure` makes one
measurement, in a process of its own, so that the peak of memory is that measurement's; `tables` puts many side by side.
"""
