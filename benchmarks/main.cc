/// The main function of the benchmarks: Google Benchmark's, but for a shorter time each, so that a
/// program ends within some seconds. --benchmark_min_time=0.5 takes longer and scatters less.

#include <benchmark/benchmark.h>

#include <vector>

int main(int argc, char** argv) {
    char min_time[] = "--benchmark_min_time=0.05";
    std::vector<char*> arguments(argv, argv + argc);
    arguments.insert(arguments.begin() + 1, min_time);  // in front: what the user gave counts
    arguments.push_back(nullptr);
    argc = static_cast<int>(arguments.size()) - 1;
    benchmark::Initialize(&argc, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(argc, arguments.data())) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
