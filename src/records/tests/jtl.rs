//! JMeter's result files.

use super::*;

const HEADER: &str = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect\n";
const ROWS: &str = "\
1795528800250,40,Send,200,OK,Thread Group 1-1,text,true,,300,120,200,200,http://api:8080/m?x=1,30,0,5
1795528800100,20,Send,429,Too Many Requests,Thread Group 1-2,text,false,\"Test failed: code expected to equal
 /200/\",300,120,200,200,http://api:8080/m,20,0,0
1795528800300,2000,Send,Non HTTP response code: java.net.SocketTimeoutException,\"Read timed out, sorry\",Thread Group 1-3,text,false,,0,0,200,200,http://api:8080/m,0,0,1
1795528800300,60,All,200,\"Number of samples in transaction : 2, number of failing samples : 0\",Thread Group 1-1,,true,,300,120,200,200,null,0,0,5
1795528800390,1,Script,200,OK,Thread Group 1-1,text,true,,0,0,200,200,null,0,0,0
1795528800400,20,Login,200,OK,Other Group 2-1,text,true,,300,120,200,200,http://api:8080/login,20,0,0
";

#[test]
fn csv_is_read_by_its_header() {
    let text = HEADER.to_owned() + ROWS;
    let gathered = read(&text);
    assert_eq!(counts(&gathered), [2, 1, 1]);
    let file = &gathered.files[0];
    // A transaction, and a script.
    assert_eq!((file.others, file.unreadable, file.cut_off), (2, 0, false));
    let observations = &gathered.observations;
    assert_eq!(observations.resolution, 0.001);
    let first = observations.attempts[1];
    let ms = |t: f64| (t * 1e3).round() as i64 - 14 * 3_600_000;
    // It left when the connection stood, and its first byte came after 30 ms.
    assert_eq!((ms(first.sent), first.answered.map(ms)), (255, Some(280)));
    assert_eq!(observations.attempts[2].answered, None);
    let routes: Vec<_> = observations.parties.iter().map(|p| (&*p.route, &*p.user)).collect();
    assert_eq!(routes, [("Send", ""), ("Login", "")]);
}

#[test]
fn columns_come_in_any_order_and_with_any_separator() {
    let text = "\"label\";\"responseCode\";\"elapsed\";\"timeStamp\"\nx;429;7;1795528800000\n";
    let gathered = read(text);
    assert_eq!(counts(&gathered), [0, 1, 0]);
    let attempt = gathered.observations.attempts[0];
    assert_eq!(attempt.answered.map(|t| ((t - attempt.sent) * 1e3).round()), Some(7.0));
    let dated = text.replace("1795528800000", "2026/11/24 14:00:00.000");
    assert_eq!(read(&dated).observations.attempts[0].sent, 14.0 * 3600.0);
}

#[test]
fn without_a_header_the_order_is_jmeters() {
    let gathered = read(ROWS);
    assert_eq!(counts(&gathered), [2, 1, 1]);
    let old = "1795528800250,40,Send,503,Busy,T 1-1,text,false,300,39\n";
    assert_eq!(counts(&read(old)), [1, 0, 0]);
}

#[test]
fn parties_and_conditions_are_the_users_to_name() {
    let text = HEADER.to_owned() + ROWS;
    let by_group = read_with(party(&["user=threadGroup", "route="]), &[&text]).expect("read");
    let users: Vec<_> =
        by_group.observations.parties.iter().map(|p| (&*p.user, &*p.route)).collect();
    assert_eq!(users, [("Thread Group", ""), ("Other Group", "")]);
    let sends = read_with(only(&["label=Send"]), &[&text]).expect("read");
    assert_eq!((counts(&sends), sends.files[0].left_out), ([1, 1, 1], 2));
    let wrong = read_with(party(&["user=threadname"]), &[&text]).expect_err("no such column");
    assert!(told(&wrong).contains("no record has a field \"threadname\"; there are: timeStamp, "));
    let nobody = read_with(only(&["label=Nothing"]), &[&text]).expect_err("nothing is left");
    assert!(told(&nobody).contains("no record has what --only asks for"), "{nobody:?}");
    let options = Options { refused: Some([200].into()), ..Options::default() };
    let turned = read_with(options, &[&text]).expect("read");
    assert_eq!(counts(&turned), [1, 2, 1]);
}

#[test]
fn a_token_is_shown_by_another_name() {
    let row = |token: &str| {
        format!("1795528800100,20,Send,200,OK,T 1-1,text,true,,1,1,1,1,http://a/m,20,0,0,{token}\n")
    };
    let header = HEADER.trim_end().to_owned() + ",\"bearer\"\n";
    let text = header + &row("s3cret") + &row("other") + &row("s3cret");
    let gathered = read_with(party(&["token=bearer"]), &[&text]).expect("read");
    let tokens: Vec<_> = gathered.observations.parties.iter().map(|p| &*p.token).collect();
    assert_eq!(tokens, ["token-1", "token-2"]);
}

#[test]
fn bad_rows_are_named_by_their_line() {
    let good = ROWS.lines().last().expect("a row");
    let many = format!("{HEADER}{}", format!("{good}\n").repeat(300));
    let text = format!(
        "{many}soon,1,x,200,OK,T 1-1,text,true,,1,1,1,1,u,1,1,1\n1,2,3\n{good}\n{}",
        &good[..30]
    );
    let gathered = read(&text);
    let file = &gathered.files[0];
    assert_eq!((file.attempts, file.unreadable, file.cut_off), (301, 2, true));
    let told = told(&gathered.warnings);
    assert!(
        told.contains("f0:302: timeStamp: neither") && told.contains("f0:303: fewer"),
        "{told}"
    );
    let lacking = read_with(Options::default(), &["timeStamp,elapsed,label\n1,2,x\n"]);
    assert!(
        super::told(&lacking.expect_err("lacks one"))
            .contains("f0:1: there is no column responseCode")
    );
}

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testResults version="1.2">
<httpSample t="40" it="0" lt="30" ct="5" ts="1795528800250" s="true" lb="Send &amp; go" rc="200" rm="OK" tn="Thread Group 1-1" ng="200" na="200">
  <java.net.URL>http://api:8080/m?a=1&amp;b=2</java.net.URL>
</httpSample>
<httpSample t="20" lt="20" ct="0" ts="1795528800100" s="false" lb="Send &amp; go" rc="429" rm="Too Many Requests" tn="Thread Group 1-2">
  <responseHeader class="java.lang.String">HTTP/1.1 429 Too Many Requests
Retry-After: 3
X-RateLimit-Limit: 100
X-RateLimit-Remaining: 0
</responseHeader>
  <assertionResult><name>a</name><failure>true</failure></assertionResult>
</httpSample>
<sample t="60" ts="1795528800300" s="true" lb="All" rc="200" rm="Number of samples in transaction : 1" tn="Thread Group 1-1">
  <httpSample t="60" lt="50" ct="0" ts="1795528800300" s="true" lb="Send &amp; go" rc="302" rm="Found" tn="Thread Group 1-1"/>
</sample>
<sample t="0" ts="1795528800500" s="true" lb="script" rc="" rm="" tn="Thread Group 1-1"/>
</testResults>
"#;

#[test]
fn xml_tells_the_same_and_headers_too() {
    let gathered = read(XML);
    assert_eq!(counts(&gathered), [2, 1, 0]);
    assert_eq!((gathered.files[0].others, gathered.files[0].cut_off), (2, false));
    let observations = &gathered.observations;
    let refused = observations.attempts[0];
    assert_eq!(refused.advice, Some(3.0));
    assert_eq!(refused.quota.map(|q| (q.limit, q.remaining)), Some((100, 0)));
    assert_eq!(&*observations.parties[0].route, "Send & go");
    let ms = |t: f64| (t * 1e3).round() as i64 - 14 * 3_600_000;
    assert_eq!(ms(observations.attempts[1].sent), 255);
    for field in ["user=threadGroup", "user=tn", "user=threadName"] {
        let gathered = read_with(party(&[field]), &[XML]).expect("read");
        assert!(gathered.observations.parties[0].user.starts_with("Thread Group"), "{field}");
    }
}

#[test]
fn a_run_that_is_not_over_has_no_end_of_xml() {
    let (begun, _) = XML.split_once("<sample t=\"60\"").expect("is there");
    let gathered = read(begun);
    assert_eq!((counts(&gathered), gathered.files[0].cut_off), ([1, 1, 0], true));
    // In the middle of a sample.
    for end in [300, 330, 480] {
        let gathered = read_with(Options::default(), &[&XML[..end]]);
        let told = format!("{gathered:?}");
        assert!(told.contains("cut_off: true") || told.contains("holds no attempt"), "{told}");
    }
}

#[test]
fn files_are_merged_in_order_of_time() {
    let text = HEADER.to_owned() + ROWS;
    let later = text.replace("17955288", "17955289");
    let gathered = read_with(Options::default(), &[&later, &text]).expect("read");
    let sent: Vec<_> = gathered.observations.attempts.iter().map(|a| a.sent).collect();
    assert!(sent.is_sorted() && sent.len() == 8, "{sent:?}");
    assert_eq!(gathered.observations.parties.len(), 2, "the same parties");
}
