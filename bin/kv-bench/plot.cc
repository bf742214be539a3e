#include "bin/kv-bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bin/kv-bench/text.h"

namespace kv::bench {

namespace {

constexpr double page_width = 900, page_height = 960;
constexpr double plot_left = 90, plot_width = 770, plot_height = 210;
constexpr double first_top = 80, next_top = 290;
/// Bold letters of 14 px are at most some 10 px wide on average; what is longer is cut.
constexpr std::size_t title_line_max = 84, title_lines_max = 2;
/// More points than this cannot be told apart; each stands for several then.
constexpr std::size_t drawn_max = 1500;

struct Line {
    std::string_view label;
    std::string_view colour;
    std::vector<std::pair<double, double>> points;
};

/// A value's place between the ends of an axis, 0 to 1.
struct Axis {
    double low = 0, high = 1;
    bool logarithmic = false;
    double place(double value) const noexcept {
        if (!logarithmic) return (value - low) / (high - low);
        return std::log(std::max(value, low) / low) / std::log(high / low);
    }
};

struct Tick {
    double value;
    std::string text;
};

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += c; break;
        }
    }
    return out;
}

/// 1, 2 or 5 times a power of ten.
double round_step(double range, int steps) noexcept {
    const double power = std::pow(10, std::floor(std::log10(range / steps)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (range / (power * factor) <= steps) return power * factor;
    }
    return power * 10;
}

std::vector<Tick> linear_ticks(Axis& axis, bool counts) {
    std::vector<Tick> ticks;
    const double step = round_step(axis.high - axis.low, 6);
    if (counts) axis.high = std::ceil(axis.high / step) * step;
    for (int i = 0; axis.low + i * step <= axis.high + step * 1e-6; ++i) {
        const double value = axis.low + i * step;
        ticks.push_back({value, counts ? human_count(value) : fmt::format("{:g}", value)});
    }
    return ticks;
}

/// "10 us", "2 ms".
std::string tick_time(double us) {
    if (us < 1e3) return fmt::format("{:g} us", us);
    return us < 1e6 ? fmt::format("{:g} ms", us / 1e3) : fmt::format("{:g} s", us / 1e6);
}

/// Latencies: from the power of ten below the least to the one above the most.
Axis latency_axis(const std::vector<Line>& lines) {
    double low = 1e12, high = 0;
    for (const Line& line : lines) {
        for (const auto& [x, y] : line.points) {
            if (y <= 0) continue;
            low = std::min(low, y);
            high = std::max(high, y);
        }
    }
    if (high <= 0) return {1, 10, true};
    const double below = std::pow(10, std::floor(std::log10(low)));
    const double above = std::pow(10, std::ceil(std::log10(high)));
    return {below, std::max(above, below * 10), true};
}

std::vector<Tick> latency_ticks(const Axis& axis) {
    std::vector<Tick> ticks;
    for (double value = axis.low; value <= axis.high * 1.001; value *= 10) {
        ticks.push_back({value, tick_time(value)});
    }
    return ticks;
}

class Chart {
public:
    Chart(std::string& out, double top, std::string_view title) : out_(out), top_(top) {
        text(plot_left, top - 14, "start", "b", title);
    }

    void axes(const Axis& x, const std::vector<Tick>& x_ticks, const Axis& y,
              const std::vector<Tick>& y_ticks, std::string_view x_label) {
        x_ = x;
        y_ = y;
        for (const Tick& tick : y_ticks) {
            const double at = y_of(tick.value);
            rule(plot_left, at, plot_left + plot_width, at);
            text(plot_left - 8, at + 4, "end", "t", tick.text);
        }
        for (const Tick& tick : x_ticks) {
            const double at = x_of(tick.value);
            rule(at, top_, at, top_ + plot_height);
            text(at, top_ + plot_height + 16, "middle", "t", tick.text);
        }
        text(plot_left + plot_width, top_ + plot_height + 33, "end", "t", x_label);
        fmt::format_to(std::back_inserter(out_),
                       "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"f\"/>\n",
                       plot_left, top_, plot_width, plot_height);
    }

    /// Lines, and their names from right to left above the chart.
    void lines(const std::vector<Line>& lines) {
        double legend = plot_left + plot_width;
        for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
            draw(*line);
            if (line->label.empty()) continue;
            text(legend, top_ - 14, "end", "t", line->label);
            legend -= 8 * static_cast<double>(line->label.size()) + 6;
            fmt::format_to(std::back_inserter(out_),
                           "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"4\" "
                           "fill=\"{}\"/>\n",
                           legend - 12, top_ - 20, line->colour);
            legend -= 26;
        }
    }

private:
    double x_of(double value) const noexcept { return plot_left + plot_width * x_.place(value); }
    double y_of(double value) const noexcept {
        return top_ + plot_height * (1 - std::clamp(y_.place(value), 0.0, 1.0));
    }
    void rule(double x1, double y1, double x2, double y2) {
        fmt::format_to(std::back_inserter(out_),
                       "<path class=\"g\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", x1, y1, x2, y2);
    }
    void text(double x, double y, std::string_view anchor, std::string_view style,
              std::string_view what) {
        fmt::format_to(std::back_inserter(out_),
                       "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>"
                       "\n",
                       x, y, anchor, style, escaped(what));
    }
    void draw(const Line& line) {
        if (line.points.empty()) return;
        if (line.points.size() == 1) {
            fmt::format_to(std::back_inserter(out_),
                           "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n",
                           x_of(line.points[0].first), y_of(line.points[0].second), line.colour);
            return;
        }
        fmt::format_to(std::back_inserter(out_), "<polyline class=\"l\" stroke=\"{}\" points=\"",
                       line.colour);
        const std::size_t step = (line.points.size() + drawn_max - 1) / drawn_max;
        for (std::size_t i = 0; i < line.points.size(); i += step) {
            // The highest of those that share a place: a spike is what one looks for.
            const auto most = *std::max_element(
                line.points.begin() + static_cast<std::ptrdiff_t>(i),
                line.points.begin() +
                    static_cast<std::ptrdiff_t>(std::min(i + step, line.points.size())),
                [](const auto& a, const auto& b) { return a.second < b.second; });
            fmt::format_to(std::back_inserter(out_), "{:.1f},{:.1f} ", x_of(most.first),
                           y_of(most.second));
        }
        out_ += "\"/>\n";
    }

    std::string& out_;
    double top_;
    Axis x_, y_;
};

std::vector<std::pair<double, double>> over_time(const StoredResult& result,
                                                 double (*value)(const Point&)) {
    std::vector<std::pair<double, double>> points;
    for (const Point& point : result.series) points.emplace_back(point.at_s, value(point));
    return points;
}

Axis time_axis(const StoredResult& result) {
    double end = 1e-3;
    for (const Point& point : result.series) end = std::max(end, point.at_s);
    return {0, end, false};
}

void draw_throughput(std::string& out, const StoredResult& result, double top) {
    Chart chart(out, top, "Throughput, requests/s");
    const std::vector<Line> lines{{"requests/s", "#1f6fb2", over_time(result, [](const Point& p) {
                                       return p.requests_per_second();
                                   })}};
    Axis x = time_axis(result);
    Axis y{0, 1, false};
    for (const auto& point : lines[0].points) y.high = std::max(y.high, point.second);
    const auto x_ticks = linear_ticks(x, false);
    const auto y_ticks = linear_ticks(y, true);
    chart.axes(x, x_ticks, y, y_ticks, "time, s");
    chart.lines(lines);
}

void draw_latency(std::string& out, const StoredResult& result, double top) {
    Chart chart(out, top, "Latency over time");
    // An interval without a reply has no latency.
    const auto without_gaps = [&](double (*value)(const Point&)) {
        auto points = over_time(result, value);
        std::erase_if(points, [](const auto& point) { return point.second <= 0; });
        return points;
    };
    const std::vector<Line> lines{
        {"p50", "#2a8f4f", without_gaps([](const Point& p) { return p.p50_us; })},
        {"p99", "#d9820f", without_gaps([](const Point& p) { return p.p99_us; })},
        {"p99.9", "#c23b3b", without_gaps([](const Point& p) { return p.p999_us; })}};
    Axis x = time_axis(result);
    const Axis y = latency_axis(lines);
    const auto x_ticks = linear_ticks(x, false);
    chart.axes(x, x_ticks, y, latency_ticks(y), "time, s");
    chart.lines(lines);
}

/// A percentile's place: each nine takes as much room as the one before.
double nines(double share) noexcept {
    return -std::log10(std::max(1 - share, 1e-9));
}

void draw_percentiles(std::string& out, const StoredResult& result, double top) {
    Chart chart(out, top, "Latency by percentile");
    double total = 0;
    for (const auto& [us, count] : result.histogram) total += count;
    Line line{"", "#6b4fa3", {}};
    double seen = 0;
    for (const auto& [us, count] : result.histogram) {
        line.points.emplace_back(nines(seen / total), us);
        seen += count;
    }
    // The last observation has no share above it: it ends the line.
    Axis x{0, std::max(total > 0 ? std::log10(total) : 1, 1.0), false};
    if (!line.points.empty()) line.points.emplace_back(x.high, result.histogram.back().first);
    static constexpr std::pair<double, const char*> marks[]{
        {0, "0"},        {0.5, "50"},       {0.9, "90"},         {0.99, "99"},
        {0.999, "99.9"}, {0.9999, "99.99"}, {0.99999, "99.999"}, {0.999999, "99.9999"}};
    std::vector<Tick> x_ticks;
    for (const auto& [share, text] : marks) {
        if (nines(share) <= x.high) x_ticks.push_back({nines(share), text});
    }
    const Axis y = latency_axis({line});
    chart.axes(x, x_ticks, y, latency_ticks(y), "percent of requests");
    chart.lines({line});
}

/// In lines that fit the page, broken behind a comma where there is one.
void draw_title(std::string& out, std::string_view title) {
    for (std::size_t line = 0; line < title_lines_max; ++line) {
        std::size_t end = title.size();
        if (end > title_line_max) {
            const std::size_t comma = title.rfind(", ", title_line_max - 1);
            end = comma == title.npos ? title_line_max : comma + 2;
        }
        fmt::format_to(std::back_inserter(out), "<text x=\"20\" y=\"{}\" class=\"b\">{}</text>\n",
                       22 + 18 * line, escaped(title.substr(0, end)));
        title.remove_prefix(end);
        if (title.empty()) return;
    }
}

}  // namespace

std::string plot_svg(std::string_view title, const StoredResult& result) {
    std::string out = fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\">\n"
        "<style>.t{{font-size:12px;fill:#444}}.b{{font-size:14px;fill:#111;font-weight:bold}}"
        ".g{{stroke:#ddd;fill:none}}.f{{stroke:#888;fill:none}}"
        ".l{{fill:none;stroke-width:1.6;stroke-linejoin:round}}</style>\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
        page_width, page_height);
    draw_title(out, printable(title));
    draw_throughput(out, result, first_top);
    draw_latency(out, result, first_top + next_top);
    draw_percentiles(out, result, first_top + 2 * next_top);
    return out + "</svg>\n";
}

}  // namespace kv::bench
