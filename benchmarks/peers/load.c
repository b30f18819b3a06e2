/* Many WebSocket clients in one thread: connects, subscribes, reads, and says how old every message was.
 *
 * cc -O2 -o load load.c && ./load PORT PATH CLIENTS WARMUP_S SECONDS GREETING STUCK DRIP STORM SIP
 *
 * STUCK clients never read; DRIP clients read SIP bytes every 100 ms; STORM > 0 cuts all connections after WARMUP_S and
 * measures until each has been greeted anew and has heard a first update. One line of JSON on stdout.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEEP = 512, BUCKETS = 400000, AT_ONCE = 256 };  /* a bucket is 50 us */
enum kind { READER, STUCK, DRIP };
enum phase { CONNECTING, SHAKING, OPEN, GONE };

struct client {
    int fd;
    enum kind kind;
    enum phase phase;
    int heard;            /* an update since it was opened */
    uint64_t skip;        /* bytes of the current payload that need not be looked at */
    size_t have;
    unsigned char keep[KEEP];
};

static struct client *all;
static int epoll, port, clients, pending, opened, next_up, heard, closed_by_server, refused;
static const char *path, *greeting;
static unsigned counts[BUCKETS], drip_counts[BUCKETS];
static uint64_t frames, updates, bytes;
static double begin, end, all_open, stuck_s;
static int stuck_gone, sip;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct client *c, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, op, c->fd, &e)) die("epoll_ctl");
}

static void dial(struct client *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, small = 8192;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->kind != READER) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    c->phase = CONNECTING;
    c->have = c->skip = c->heard = 0;
    pending++;
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void more(void) {
    while (pending < AT_ONCE && next_up < clients) dial(&all[next_up++]);
}

static void hang_up(struct client *c, int hard) {
    struct linger cut = {1, 0};
    if (c->phase == GONE) return;
    if (hard) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    close(c->fd);
    if (c->phase < OPEN) pending--;
    else opened--;
    c->phase = GONE;
}

static void shake(struct client *c) {
    char text[512];
    int size = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port);
    if (send(c->fd, text, size, MSG_NOSIGNAL) != size) {
        hang_up(c, 0);
        return;
    }
    c->phase = SHAKING;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void greet(struct client *c) {
    unsigned char frame[256] = {0x81, 0x80 | (unsigned char)strlen(greeting)};  /* masked with zeros */
    size_t size = strlen(greeting);
    pending--;
    opened++;
    c->phase = OPEN;
    if (size) {
        memcpy(frame + 6, greeting, size);
        if (send(c->fd, frame, size + 6, MSG_NOSIGNAL) != (ssize_t)size + 6) hang_up(c, 0);
    }
    if (c->phase == OPEN && c->kind != READER) epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, 0);
}

static void message(struct client *c, const unsigned char *text, size_t size, double at) {
    const char *mark = memmem(text, size, "\"ts\":", 5);
    if (!memmem(text, size < 40 ? size : 40, "\"update\"", 8) || !mark) return;
    if (!c->heard) {
        c->heard = 1;
        heard++;
    }
    updates++;
    if (at < begin || (end && at > end)) return;
    long place = (at - strtod(mark + 5, 0)) * 20000;
    unsigned *in = c->kind == DRIP ? drip_counts : counts;
    in[place < 0 ? 0 : place >= BUCKETS ? BUCKETS - 1 : place]++;
    if (c->kind != DRIP) frames++;
}

/* Look at the whole frames in data; what is left of the last one is kept. Payloads over KEEP are looked at in front only. */
static void take(struct client *c, const unsigned char *data, size_t size, double at) {
    while (size) {
        if (c->skip) {
            size_t part = c->skip < size ? c->skip : size;
            c->skip -= part, data += part, size -= part;
            continue;
        }
        size_t head = size < 2 ? 2 : (data[1] & 127) == 126 ? 4 : (data[1] & 127) == 127 ? 10 : 2;
        if (size < head) break;
        uint64_t payload = head == 2 ? data[1] & 127 : 0;
        for (size_t i = 2; i < head; i++) payload = payload << 8 | data[i];
        size_t want = payload < 200 ? payload : 200;
        if (size < head + want) break;
        if ((data[0] & 15) == 8) closed_by_server++;
        if ((data[0] & 15) == 9) {
            unsigned char pong[6] = {0x8a, 0x80};
            send(c->fd, pong, 6, MSG_NOSIGNAL);
        }
        if ((data[0] & 15) == 1) message(c, data + head, want, at);
        data += head, size -= head;
        c->skip = payload;
    }
    if (size > KEEP) die("a frame's head is too long");
    memmove(c->keep, data, size);
    c->have = size;
}

static void hear(struct client *c, size_t most) {
    static unsigned char room[KEEP + (256 << 10)];
    memcpy(room, c->keep, c->have);
    ssize_t got = recv(c->fd, room + c->have, most, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (c->phase == SHAKING) refused++;
        hang_up(c, 0);
        return;
    }
    bytes += got;
    unsigned char *data = room;
    size_t size = c->have + got;
    c->have = 0;
    if (c->phase == SHAKING) {
        unsigned char *over = memmem(room, size, "\r\n\r\n", 4);
        if (!over) {
            memcpy(c->keep, room, size), c->have = size;
            return;
        }
        if (memcmp(room + 9, "101", 3)) {
            refused++;
            hang_up(c, 0);
            return;
        }
        size -= over + 4 - room, data = over + 4;
        greet(c);
        if (c->phase == GONE) return;
    }
    take(c, data, size, now());
}

static double turn(double until) {
    struct epoll_event events[512];
    double left = until - now();
    int found = epoll_wait(epoll, events, 512, left <= 0 ? 0 : left > 0.01 ? 10 : 1);
    for (int i = 0; i < found; i++) {
        struct client *c = events[i].data.ptr;
        if (c->phase == CONNECTING) shake(c);
        else if (c->phase != GONE) hear(c, 256 << 10);
    }
    more();
    return now();
}

/* Whether the server has ended the connection, although nobody reads what it said before. */
static int cut_off(struct client *c) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    return !getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) && info.tcpi_state != TCP_ESTABLISHED;
}

static void sips(double at) {
    static double last;
    if (at - last < 0.1) return;
    last = at;
    for (int i = 0; i < clients; i++) {
        if (all[i].kind == DRIP && all[i].phase == OPEN) hear(&all[i], sip);
        if (all[i].kind == STUCK && all[i].phase == OPEN && cut_off(&all[i])) {
            hang_up(&all[i], 0);
            stuck_gone++, stuck_s = at - all_open;
        }
    }
}

static double quantile(const unsigned *in, double share) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += in[i];
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += in[i]) >= share * total && total) return (i + 1) / 20.0;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 11) return 2;
    port = atoi(argv[1]), path = argv[2], clients = atoi(argv[3]), greeting = argv[6];
    double warmup = atof(argv[4]), seconds = atof(argv[5]);
    int stuck = atoi(argv[7]), drip = atoi(argv[8]), storm = atoi(argv[9]);
    sip = atoi(argv[10]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    all = calloc(clients, sizeof *all);
    for (int i = 0; i < clients; i++) all[i].kind = i < stuck ? STUCK : i < stuck + drip ? DRIP : READER;
    double started = now(), opening = 0, at = started, slowest = 0;
    begin = 1e18;
    more();
    while (opened < clients - refused && at < started + 60) at = turn(at + 1);
    opening = at - started, all_open = at;
    fprintf(stderr, "open\n");
    for (double until = at + warmup; at < until; sips(at)) at = turn(until);
    if (storm) {
        for (int i = 0; i < clients; i++) hang_up(&all[i], 1);
        double cut = now();
        heard = next_up = 0;
        more();
        while (heard < clients && at < cut + 60) at = turn(at + 1);
        slowest = at - cut;
    }
    begin = now(), end = begin + seconds;
    fprintf(stderr, "begin\n");
    for (at = begin; at < end; sips(at)) at = turn(end);
    fprintf(stderr, "end\n");
    for (double until = at + 1.0; at < until; ) at = turn(until);  /* what was sent in time and is still on its way */
    printf("{\"clients\": %d, \"open\": %d, \"refused\": %d, \"frames\": %lu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
        "\"max_ms\": %.2f, \"drip_p99_ms\": %.2f, \"drip_max_ms\": %.2f, \"open_s\": %.3f, \"storm_s\": %.3f, \"closed\": %d, "
        "\"stuck_gone\": %d, \"stuck_s\": %.2f}\n",
        clients, opened, refused, frames, quantile(counts, 0.5), quantile(counts, 0.99), quantile(counts, 1.0),
        quantile(drip_counts, 0.99), quantile(drip_counts, 1.0), opening, slowest, closed_by_server, stuck_gone, stuck_s);
    return 0;
}
