/* The floor: epoll and send() in C, one finished frame to everybody. PORT MESSAGES_PER_SECOND MORE_BYTES
 *
 * It shakes hands with a constant answer to the load client's constant key and drops who does not keep up.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536 };
static int clients[MOST], place[MOST], count, epoll, more;
static const char hello[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void drop(int fd) {
    if (place[fd]) {
        int last = clients[count--];
        clients[place[fd]] = last, place[last] = place[fd], place[fd] = 0;
    }
    close(fd);
}

static void publish(unsigned seq) {
    static char text[60000], frame[60004];
    frame[0] = (char)0x81, frame[1] = 126;
    int size = snprintf(text, sizeof text,
        "{\"type\":\"update\",\"topic\":\"prices\",\"seq\":%u,\"prev\":%u,\"ts\":%.6f,\"data\":[{\"pair\":\"WETH/USDC\","
        "\"dex\":\"aerodrome\",\"pool\":\"aerodrome-3000\",\"price\":\"3003.42%0*d\"}]}", seq, seq - 1, now(CLOCK_REALTIME), more, 0);
    frame[2] = size >> 8, frame[3] = size & 255;
    memcpy(frame + 4, text, size);
    for (int i = count; i > 0; i--)
        if (send(clients[i], frame, size + 4, MSG_NOSIGNAL | MSG_DONTWAIT) != size + 4 && errno != EAGAIN) drop(clients[i]);
}

int main(int argc, char **argv) {
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    if (argc != 4) return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    double period = 1 / atof(argv[2]), due = now(CLOCK_MONOTONIC);
    more = atoi(argv[3]);
    int one = 1, door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
    setrlimit(RLIMIT_NOFILE, &files);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 4096)) return 1;
    epoll = epoll_create1(0);
    event.data.fd = door;
    epoll_ctl(epoll, EPOLL_CTL_ADD, door, &event);
    puts("ready");
    fflush(stdout);
    for (unsigned seq = 1;; ) {
        double left = due - now(CLOCK_MONOTONIC);
        int found = epoll_wait(epoll, events, 256, left > 0 ? left * 1000 + 1 : 0);
        for (int i = 0; i < found; i++) {
            int fd = events[i].data.fd;
            char room[4096];
            if (fd == door) {
                while ((fd = accept4(door, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    event.data.fd = fd;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
                }
            } else if (recv(fd, room, sizeof room, 0) <= 0) {
                drop(fd);
            } else if (!place[fd]) {
                send(fd, hello, sizeof hello - 1, MSG_NOSIGNAL);
                clients[++count] = fd, place[fd] = count;
            }
        }
        if (now(CLOCK_MONOTONIC) >= due) {
            publish(seq++);
            due += period;
            if (due < now(CLOCK_MONOTONIC) - period) due = now(CLOCK_MONOTONIC);
        }
    }
}
