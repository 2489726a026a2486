from django.http import HttpResponse


def csrf_failure(request, reason=""):
    return HttpResponse(status=403)


def bad_request(request, exception):
    return HttpResponse(status=400)


def not_allowed(request, exception):
    return HttpResponse(status=403)


def not_found(request, exception):
    return HttpResponse(status=404)


def server_error(request):
    return HttpResponse(status=500)
