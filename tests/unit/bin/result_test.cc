/// What is made of a run: series, result files, comparisons and charts.

#include "bin/kv-bench/result.h"

#include <gtest/gtest.h>

#include <array>

#include "bin/kv-bench/compare.h"
#include "bin/kv-bench/plot.h"
#include "bin/kv-bench/report.h"
#include "tests/support/temporary_directory.h"

namespace kv::bench {
namespace {

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

RunResult some_result() {
    RunResult result;
    result.measured.started = Instant(1s);
    result.measured.finished = Instant(3s);
    result.measured.counts.replies = 1000;
    result.measured.counts.errors.add("MOVED", "MOVED 7 h:1 <&\">", 3);
    result.measured.not_sent = 5;
    for (std::uint64_t i = 1; i <= 1000; ++i) result.measured.latency.record(i * 1000);
    for (int i = 1; i <= 4; ++i) {
        result.series.push_back({.at_s = 0.5 * i,
                                 .seconds = 0.5,
                                 .requests = 250,
                                 .errors = i == 2 ? 3u : 0u,
                                 .p50_us = 100.0 * i,
                                 .p99_us = 200.0 * i,
                                 .p999_us = 300.0 * i,
                                 .max_us = 400.0 * i});
    }
    return result;
}

TEST(Result, WhatIsWrittenIsReadBack) {
    const RunResult result = some_result();
    const auto stored = parse_result(result_json({}, result));
    ASSERT_TRUE(stored) << stored.error().text();
    EXPECT_EQ(stored->load, describe_load({}));
    EXPECT_EQ(stored->requests_per_second, 500);
    EXPECT_EQ(stored->errors, 3);
    EXPECT_EQ(stored->max_us, 1000);
    EXPECT_NEAR(stored->p50_us, 500, 5);
    ASSERT_EQ(stored->series.size(), 4);
    EXPECT_EQ(stored->series[1].at_s, 1);
    EXPECT_EQ(stored->series[1].requests, 250);
    EXPECT_EQ(stored->series[1].errors, 3);
    EXPECT_EQ(stored->series[3].p999_us, 1200);
    double counted = 0;
    for (const auto& [us, count] : stored->histogram) counted += count;
    EXPECT_EQ(counted, 1000);
}

TEST(Result, ASummaryIsAResultWithoutSeries) {
    const auto stored = parse_result(summary_json({}, some_result().measured));
    ASSERT_TRUE(stored) << stored.error().text();
    EXPECT_EQ(stored->requests_per_second, 500);
    EXPECT_TRUE(stored->series.empty());
    EXPECT_TRUE(contains(plot_svg("t", *stored), "</svg>"));
}

TEST(Result, TheSummaryIsOneLineWithTheFirstError) {
    const std::string json = summary_json({}, some_result().measured);
    EXPECT_EQ(json.find('\n'), json.size() - 1);
    EXPECT_TRUE(contains(json, "\"errors_by_kind\":{\"MOVED\":3}")) << json;
    EXPECT_TRUE(contains(json, R"("first_errors":{"MOVED":"MOVED 7 h:1 <&\">"})")) << json;
    EXPECT_TRUE(contains(json, "\"not_sent\":5")) << json;
}

TEST(Result, WhatIsNoResultIsRefusedWithItsReason) {
    const struct {
        std::string text;
        const char* reason;
    } rows[] = {
        {"", "not JSON"},
        {"{\"format\":", "not JSON"},
        {"[1]", "no result of kv-bench"},
        {"{}", "no result of kv-bench"},
        {"{\"format\":7}", "no result of kv-bench"},
        {"{\"format\":\"kv-bench 1\"}", "damaged"},
        {"{\"format\":\"kv-bench 1\",\"latency_us\":[]}", "damaged"},
    };
    for (const auto& row : rows) {
        const auto stored = parse_result(row.text);
        ASSERT_FALSE(stored) << row.text;
        EXPECT_TRUE(contains(stored.error().text(), row.reason)) << stored.error().text();
    }
    std::string damaged = result_json({}, some_result());
    damaged.replace(damaged.find("\"at_s\":0.5"), 10, "\"at_s\":\"x\"");
    EXPECT_FALSE(parse_result(damaged));
}

TEST(Result, FilesAreNamedInErrors) {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() + "/r.json";
    const auto absent = read_result(path);
    ASSERT_FALSE(absent);
    EXPECT_TRUE(contains(absent.error().text(), path)) << absent.error().text();
    ASSERT_TRUE(write_file(path, "no"));
    EXPECT_TRUE(contains(read_result(path).error().text(), path));
    ASSERT_TRUE(write_file(path, result_json({}, some_result())));
    EXPECT_TRUE(read_result(path));
    EXPECT_FALSE(read_result(directory.path()));
    EXPECT_FALSE(write_file(directory.path() + "/no/where", "x"));
    EXPECT_FALSE(write_file("/dev/full", "x"));
}

TEST(Compare, EveryFigureHasItsRatio) {
    StoredResult a, b;
    a.load = b.load = "the same";
    a.requests_per_second = 1000;
    b.requests_per_second = 2500;
    a.p99_us = 800;
    b.p99_us = 200;
    const std::string text = compare_text(a, b);
    EXPECT_TRUE(contains(text, "2.500")) << text;
    EXPECT_TRUE(contains(text, "0.250")) << text;
    EXPECT_FALSE(contains(text, "differ")) << text;
    b.load = "another";
    EXPECT_TRUE(contains(compare_text(a, b), "The loads differ."));
}

/// Whether `text` is well-formed as far as this writer can go wrong: tags in pairs, attributes in
/// quotes, no bare & or <. Says what is wrong.
std::string xml_fault(std::string_view text) {
    std::vector<std::string> open;
    while (!text.empty()) {
        if (text[0] == '&') {
            const std::string_view entity = text.substr(0, text.find(';') + 1);
            constexpr std::array known{"&amp;", "&lt;", "&gt;", "&quot;"};
            if (std::ranges::find(known, entity) == known.end()) return "a bare &";
        }
        if (text[0] != '<') {
            text.remove_prefix(1);
            continue;
        }
        const std::size_t end = text.find('>');
        if (end == std::string_view::npos) return "a tag without end";
        const std::string_view tag = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        if (tag.find('<') != std::string_view::npos) return "a bare <";
        if (std::ranges::count(tag, '"') % 2 != 0) return "quotes: " + std::string(tag);
        const std::string name(tag.substr(0, tag.find_first_of(" /?", 1)));
        if (tag.starts_with('?') || tag.ends_with('/')) continue;
        if (!tag.starts_with('/')) {
            open.push_back(name);
        } else if (open.empty() || "/" + open.back() != tag) {
            return "unexpected " + std::string(tag);
        } else {
            open.pop_back();
        }
    }
    return open.empty() ? "" : "open: " + open.back();
}

/// The points of the lines that are drawn.
std::vector<std::size_t> points_of_lines(std::string_view svg) {
    std::vector<std::size_t> counts;
    constexpr std::string_view start = "points=\"";
    for (std::size_t at = svg.find(start); at != std::string_view::npos;
         at = svg.find(start, at + 1)) {
        const std::string_view points = svg.substr(at + start.size());
        counts.push_back(
            static_cast<std::size_t>(std::ranges::count(points.substr(0, points.find('"')), ',')));
    }
    return counts;
}

TEST(Plot, IsWellFormedAndHasEveryPoint) {
    auto stored = parse_result(result_json({}, some_result()));
    ASSERT_TRUE(stored);
    const std::string svg = plot_svg("a <title> & \"more\"", *stored);
    EXPECT_EQ(xml_fault(svg), "");
    EXPECT_TRUE(contains(svg, "a &lt;title&gt; &amp; &quot;more&quot;"));
    const std::vector<std::size_t> expected{4, 4, 4, 4, stored->histogram.size() + 1};
    EXPECT_EQ(points_of_lines(svg), expected);
    for (const char* label : {"requests/s", "p50", "p99", "p99.9", "time, s", "99.9", "100 us",
                              "percent of requests"}) {
        EXPECT_TRUE(contains(svg, label)) << label;
    }
    EXPECT_FALSE(contains(svg, "nan"));
    EXPECT_FALSE(contains(svg, "inf"));
}

/// 900 px of bold text are less than 90 letters.
TEST(Plot, ALongTitleIsBrokenBehindAComma) {
    const std::string first = "72.73 % GET, 18.18 % SET, 9.091 % INCR, resp protocol, ";
    const std::string second = "10000 connections, pipeline 10000, 256 threads, open loop";
    const std::string svg = plot_svg(first + second, {});
    EXPECT_EQ(xml_fault(svg), "");
    EXPECT_TRUE(contains(svg, ">" + first + "10000 connections, </text>")) << svg;
    EXPECT_TRUE(contains(svg, ">pipeline 10000, 256 threads, open loop</text>")) << svg;
    EXPECT_LT(plot_svg(std::string(10'000, 'x'), {}).size(), svg.size() + 200);
}

TEST(Plot, ALineWithoutANameHasNoLegend) {
    auto stored = parse_result(result_json({}, some_result()));
    ASSERT_TRUE(stored);
    EXPECT_FALSE(contains(plot_svg("", *stored), "class=\"t\"></text>"));
}

TEST(Plot, StandsWhatThereIsLittleOf) {
    StoredResult result;
    for (int i = 0; i < 3; ++i) {
        const std::string svg = plot_svg("", result);
        EXPECT_EQ(xml_fault(svg), "");
        EXPECT_FALSE(contains(svg, "nan")) << svg;
        EXPECT_FALSE(contains(svg, "inf")) << svg;
        if (i == 0) result.series.push_back({});
        if (i == 1) result.histogram.emplace_back(0.1, 1);
    }
}

TEST(Plot, ALongSeriesIsThinnedAndKeepsItsSpike) {
    StoredResult calm;
    for (int i = 0; i < 100'000; ++i) {
        calm.series.push_back({.at_s = 1.0 * i,
                               .seconds = 1,
                               .requests = 100,
                               .p50_us = 20,
                               .p99_us = 20,
                               .p999_us = 20});
    }
    StoredResult spiked = calm;
    spiked.series[77'777].p999_us = 95;
    const std::string svg = plot_svg("", spiked);
    EXPECT_LT(svg.size(), 200'000);
    EXPECT_NE(svg, plot_svg("", calm));
}

TEST(Monitor, IntervalsOfAllThreadsBecomeOnePoint) {
    Monitor monitor("", 2, Progress::none);
    Histogram slow, fast;
    slow.record(10'000, 10);
    fast.record(1'000, 990);
    monitor.deliver(0, 1s, 1s, slow, 2);
    EXPECT_TRUE(monitor.series().empty());
    monitor.deliver(0, 1s, 1s, fast, 0);
    ASSERT_EQ(monitor.series().size(), 1);
    const Point& point = monitor.series()[0];
    EXPECT_EQ(point.requests, 1000);
    EXPECT_EQ(point.errors, 2);
    EXPECT_EQ(point.requests_per_second(), 1000);
    EXPECT_NEAR(point.p50_us, 1, 0.01);
    EXPECT_NEAR(point.p999_us, 10, 0.1);
    // A thread that ends early is not waited for.
    monitor.deliver(1, 2s, 1s, fast, 0);
    EXPECT_EQ(monitor.series().size(), 1);
    monitor.leave();
    EXPECT_EQ(monitor.series().size(), 2);
}

TEST(Monitor, ALineHasWhatMatters) {
    EXPECT_EQ(progress_line("warm-up  ", {.at_s = 3,
                                          .seconds = 1,
                                          .requests = 123'456,
                                          .errors = 7,
                                          .p50_us = 81.26,
                                          .p99_us = 2345}),
              "warm-up  3 s  123k requests/s  p50 81.3 us  p99 2.35 ms  errors 7");
    EXPECT_TRUE(progress_line("", {.at_s = 0.75, .seconds = 0.25}).starts_with("0.8 s  "));
    EXPECT_TRUE(progress_line("", {.at_s = 0.05, .seconds = 0.05}).starts_with("0.05 s  "));
}

}  // namespace
}  // namespace kv::bench
