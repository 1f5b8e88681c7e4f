/* A buffer is sent without a copy, and filled again before the completion is told. */
#include "common.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof at;
	int one = 1;
	char control[256];
	struct msghdr told;

	kernel();
	int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(bind(listener, (struct sockaddr *)&at, sizeof at), "bind");
	must(listen(listener, 1), "listen");
	must(getsockname(listener, (struct sockaddr *)&at, &length), "getsockname");
	int out = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(setsockopt(out, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one), "SO_ZEROCOPY");
	must(connect(out, (struct sockaddr *)&at, sizeof at), "connect");
	char *buffer = pages(4);
	memset(buffer, 'a', 4 * PAGE);
	must(send(out, buffer, 4 * PAGE, MSG_ZEROCOPY), "send");
	memset(buffer, 'b', 4 * PAGE);
	must(send(out, buffer, 4 * PAGE, MSG_ZEROCOPY), "send");
	int in = must(accept(listener, NULL, NULL), "accept");
	char *back = pages(8);
	must(recv(in, back, 8 * PAGE, MSG_WAITALL), "recv");
	struct pollfd waiting = { .fd = out };
	poll(&waiting, 1, 1000);
	memset(&told, 0, sizeof told);
	told.msg_control = control;
	told.msg_controllen = sizeof control;
	must(recvmsg(out, &told, MSG_ERRQUEUE), "recvmsg");
	return 0;
}
